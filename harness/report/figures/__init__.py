"""Figures of a report, for notebooks too.

Every function draws on the given axes, or on a new figure, and returns the axes. No figure is
registered with pyplot, so none leaks; in a notebook, ``ax.figure`` shows the figure.
"""
