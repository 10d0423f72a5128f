//! Numbers come back as they were; what is no value is an error that says where.
