"""From a description to generated text: names, fields, tables and samples as templates write them."""
