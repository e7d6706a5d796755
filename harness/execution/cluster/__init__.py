"""Workers on machines of a Dask cluster; imported only where one is asked for."""
