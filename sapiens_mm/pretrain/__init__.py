"""Masked auto-encoder pre-training: model, human-image data sets, decoding, reconstruction pictures, curation."""
