"""What one manager has applied of an object: in ``owners``, with all else of managedFields."""

from carferry.cluster.owners import owned

__all__ = ["owned"]
