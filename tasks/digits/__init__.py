"""Tasks on handwritten digits: a classifier that must forget one of them."""
