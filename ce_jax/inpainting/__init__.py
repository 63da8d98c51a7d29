"""An inpainting from pictures and holes to its output folder: what `batch` puts together."""
