"""The version of the package, in one place: the build, the provider info and the User-Agent read it here."""

__version__ = "0.1.0"
