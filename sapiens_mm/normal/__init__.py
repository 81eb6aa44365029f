"""Surface normals of people."""
