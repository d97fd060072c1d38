"""The first audit of a model: what it takes, what lies in a folder, and the file that fits both (`assay init`)."""
