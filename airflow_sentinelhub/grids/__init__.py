"""The tiling grids of the service and the tiles that an area touches, offline.

The simulator and the preview of a job use the same grids. This folder imports nothing else of the package, so that the
simulator stays independent of the code that it checks; the grids are checked by the recorded figures of the service.
"""
