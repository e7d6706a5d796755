"""Figures of a report, for notebooks too.

Every function draws on the axes it is given, or on a figure of its own, and returns the axes.
Nothing is kept in pyplot, so nothing leaks; in a notebook, ``ax.figure`` shows the figure.
"""
