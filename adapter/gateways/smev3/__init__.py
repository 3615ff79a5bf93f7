"""СМЭВ3: SendRequest, GetResponse, Ack over SOAP with GOST signatures."""
