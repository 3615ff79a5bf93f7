"""One module per service (вид сведений): models, rules, next steps. Pure."""
