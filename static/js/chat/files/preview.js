// A small picture of a picture, to be kept and shown in place of it. The browser decodes and scales it beside the page.

const WIDTH = 512;
// Below this a picture may be smaller than its preview, which must not be larger.
const SMALL_BYTES = 300_000;

/**
 * Resolves to null if the browser cannot read the picture.
 * @param {Blob} file
 * @returns {Promise<{picture: Blob, width: number, height: number} | null>}
 */
export async function previewOf(file) {
  try {
    const bitmap = await (file.size < SMALL_BYTES ? createImageBitmap(file) : createImageBitmap(file, { resizeWidth: WIDTH, resizeQuality: "medium" }));
    const picture = await drawn(bitmap, file.type);
    const { width, height } = bitmap;
    bitmap.close();
    return picture && { picture, width, height };
  } catch {
    return null;
  }
}

/**
 * Whether an <img> can show what is at the address. The picture is not decoded for this.
 * @param {string} address
 */
export function canBeShown(address) {
  const image = new Image();
  return /** @type {Promise<boolean>} */ (new Promise((resolve) => {
    image.onload = () => resolve(true);
    image.onerror = () => resolve(false);
    image.src = address;
  }));
}

/**
 * @param {ImageBitmap} bitmap
 * @param {string} type of the picture: JPEG is written fastest, and has no transparent parts
 */
function drawn(bitmap, type) {
  const scale = Math.min(1, WIDTH / bitmap.width);
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  canvas.getContext("2d")?.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return /** @type {Promise<Blob | null>} */ (new Promise((resolve) => canvas.toBlob(resolve, type === "image/jpeg" ? type : "image/webp", 0.8)));
}
