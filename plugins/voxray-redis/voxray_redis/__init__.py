"""Redis for Voxray: sessions that several servers share."""

from voxray.plugin import SessionStoreSpec, hookimpl


@hookimpl
def voxray_register_stores():
    return [
        SessionStoreSpec(
            name="redis",
            title="Redis, shared by all servers that name the same one",
            factory="voxray_redis.store:RedisStore",
            options={
                "url": {
                    "type": "string",
                    "default": "",
                    "description": "Address of the server; filled in from the key redis_url.",
                },
            },
            docs_url="https://redis.io/docs/latest/",
        )
    ]
