"""What people read: the OpenAPI document and the pages, made of the declarations by which requests are answered."""
