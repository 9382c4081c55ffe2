"""Layers, a file for each kind; users find the classes in fastbp."""
