"""A service module drafted from the XSD of a вид сведений: read the schema, shape the models, write the file."""
