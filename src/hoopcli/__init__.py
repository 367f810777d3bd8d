"""What a person says to hoop, and sees of it."""

__version__ = "0.1.0"  # a test holds it to pyproject.toml
