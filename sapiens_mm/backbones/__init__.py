"""Backbones: images to feature maps. The only place that knows how tokens are laid out."""
