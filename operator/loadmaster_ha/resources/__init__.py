"""The custom resources as pydantic models, and what is generated from them: CRDs and the API reference."""
