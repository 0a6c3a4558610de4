"""Write a picture of every page into docs/screenshots: light, dark, and on a phone. The table of pages: tests/ui/pages.py."""

import asyncio
import base64
import struct
import sys
import tempfile
import zlib
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from playwright.async_api import Page  # noqa: E402
from tests.ui.chromium import DESKTOP, PHONE, open_window  # noqa: E402
from tests.ui.pages import PAGES  # noqa: E402
from tests.ui.pictured import make_pictured  # noqa: E402

from berth.adapters.store.database import Store, upgrade_tables  # noqa: E402

FOLDER = ROOT / "docs" / "screenshots"
VARIANTS = (("light", "light", DESKTOP), ("dark", "dark", DESKTOP), ("phone", "light", PHONE))
MOST_HEIGHT = 1400


# The most frequent colours stay as they are, others become the nearest of them: a quarter of the size, and nobody sees it.
FEWER_COLOURS = """async text => {
    const bytes = Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
    const image = await createImageBitmap(new Blob([bytes], {type: 'image/png'}));
    const context = new OffscreenCanvas(image.width, image.height).getContext('2d');
    context.drawImage(image, 0, 0);
    const pixels = new Uint32Array(context.getImageData(0, 0, image.width, image.height).data.buffer);
    const counts = new Map();
    for (const pixel of pixels) counts.set(pixel, (counts.get(pixel) || 0) + 1);
    const parts = colour => [colour & 255, colour >> 8 & 255, colour >> 16 & 255];
    const colours = [...counts.keys()].sort((a, b) => counts.get(b) - counts.get(a));
    const palette = colours.slice(0, 256).map(parts);
    const distance = (a, b) => a.reduce((sum, part, index) => sum + (part - b[index]) ** 2, 0);
    const nearest = new Map(colours.map(colour => {
        const found = palette.map(each => distance(each, parts(colour)));
        return [colour, found.indexOf(Math.min(...found))];
    }));
    let indexes = '';
    for (const pixel of pixels) indexes += String.fromCharCode(nearest.get(pixel));
    return [image.width, palette.flat(), btoa(indexes)];
}"""


async def shrink(blank: Page, png: bytes) -> bytes:
    """The picture with a palette of at most 256 colours."""
    width, palette, text = await blank.evaluate(FEWER_COLOURS, base64.b64encode(png).decode())
    indexes = base64.b64decode(text)
    rows = b"".join(b"\0" + indexes[at : at + width] for at in range(0, len(indexes), width))
    head = struct.pack(">IIBBBBB", width, len(indexes) // width, 8, 3, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"PLTE", bytes(palette)), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


async def main(wanted: list[str]) -> None:
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        store = Store(f"sqlite:///{folder}/berth.db")
        async with store.begin() as connection:
            await connection.run_sync(upgrade_tables)
        async with make_pictured(Path(folder), store) as pictured, open_window(pictured) as window:
            blank = await window.browser.new_page()
            for shown in PAGES:
                if wanted and shown.name not in wanted:
                    continue
                page = await window.show(shown)
                for variant, theme, (width, height) in VARIANTS:
                    await page.emulate_media(color_scheme=theme)
                    await page.set_viewport_size({"width": width, "height": height})
                    tall = min(MOST_HEIGHT, await page.evaluate("document.documentElement.scrollHeight"))
                    clip = {"x": 0, "y": 0, "width": width, "height": max(tall, min(height, 600))}
                    picture = await shrink(blank, await page.screenshot(full_page=True, clip=clip))
                    (FOLDER / f"{shown.name}-{variant}.png").write_bytes(picture)
        await store.close()
    sizes = [path.stat().st_size for path in FOLDER.glob("*.png")]
    print(f"{len(sizes)} pictures, {sum(sizes) / 1e6:.1f} MB, the largest {max(sizes) / 1e3:.0f} KB")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
