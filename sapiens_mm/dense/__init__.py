"""What body parts, depth and surface normals share: decoder, estimator, transforms, folder data sets."""
