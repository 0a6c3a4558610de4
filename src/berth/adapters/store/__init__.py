"""The database: tables, queries and migrations. SQLAlchemy is the portability layer; services call these queries."""
