"""Work on geometries with shapely, and files of GIS tools. Its libraries are imported when they are needed."""
