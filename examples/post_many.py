"""Post many items to a JSON API: with a token, so many a second, and again where it was busy.

    python examples/post_many.py [URL --token TOKEN] [--items 200] [--rate 400]

POST is not repeated unless you say that it may be; here an `Idempotency-Key` tells the API which
attempts are for the same item.
"""

from __future__ import annotations

import argparse
import sys
import uuid
from contextlib import nullcontext

from urllib3.util import Retry

import reqkit
import reqkit_async
from _site import TOKEN, serve
from reqkit.auth import HTTPBearerAuth

RETRIES = Retry(
    total=4,
    status_forcelist=[429, 500, 502, 503, 504],
    allowed_methods=None,  # POST too
    backoff_factor=0.1,
    backoff_jitter=0.1,
)


def main() -> int:
    parser = argparse.ArgumentParser(description="Post items to a JSON API.")
    parser.add_argument("url", nargs="?", help="where to")
    parser.add_argument("--token", default=TOKEN, help="for Authorization: Bearer")
    parser.add_argument("--items", type=int, default=200, help="how many (200)")
    parser.add_argument("--rate", default="400", help='a second, or as "30/min" (400)')
    given = parser.parse_args()
    rate = float(given.rate) if given.rate.replace(".", "").isdigit() else given.rate
    pool = reqkit_async.Pool(size=20, rate=rate, retries=RETRIES)
    failed = []
    with nullcontext() if given.url else serve() as site, reqkit.Session() as session:
        session.auth = HTTPBearerAuth(given.token)
        url = given.url or f"{site}/api/items"
        # A generator: requests are made as there is room for them.
        requests = (
            reqkit_async.post(
                url,
                json={"number": number, "name": f"item {number}"},
                headers={"Idempotency-Key": str(uuid.uuid4())},
                session=session,
            )
            for number in range(given.items)
        )
        for number, response in pool.imap_enumerated(requests):
            if response:
                assert response.json()["id"]
            else:
                failed.append(f"item {number}: {response.error or response.text}")
    print(f"{given.items - len(failed)} of {given.items} items posted")
    print(*failed[:10], sep="\n", end="\n" if failed else "")
    print(pool.stats)
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
