"""A Salesforce org on the wire: one real HTTP server that follows the observed behaviour of the REST API.

It knows nothing of the sync that is tested against it. Start it with ``python -m salesforce_standin``;
README.md in this package lists the resources it serves and its own small admin interface.
"""

__all__ = ["__version__"]

__version__ = "1.0.0"
