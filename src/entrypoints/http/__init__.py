"""The HTTP API, in the order in which a request meets it.

server, protocol        sockets and bytes
app                     every path, and the one layer around all of them
request_context         what is noted of a request when it arrives
pipeline                the way through a call: admit, read, do, answer
  authentication        who asks
  query, bodies         what is asked, read strictly
  operations            what a call is; `resources` declares them
  etags                 answers that are kept
  responses, problems   what is sent back; `problem_catalogue` has the words
request_schemas         the bodies that are sent, of `request_fields`; `response_schemas` those that come back
docs                    what people read: the OpenAPI document and the pages
"""
