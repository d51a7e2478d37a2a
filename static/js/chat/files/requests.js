// The requests for files. Parts are sent with XMLHttpRequest, because `fetch` does not tell how much was sent.
import { ApiError, call, csrfToken } from "../api.js";
import { pageLanguage } from "../lib/format.js";
import { text } from "../text.js";

// A part may take long on a slow line, but not without any progress.
const STALLED_MS = 30_000;

/** @typedef {import("./upload.js").FileState} FileState */

/** @param {string} id */
const pathOf = (id) => `/api/files/${id}`;

export const fileRequests = {
  /** @param {object} body @returns {Promise<FileState>} */
  begin: (body) => call("POST", "/api/files", body),
  /** @param {string} id @returns {Promise<FileState>} */
  complete: (id) => call("POST", `${pathOf(id)}/complete`, {}),
  /** @param {string} id @returns {Promise<FileState>} */
  state: (id) => call("GET", pathOf(id)),
  /** @param {string} id */
  drop: (id) => call("DELETE", pathOf(id), undefined, { keepalive: true }),
  /** @type {import("./upload.js").Requests["part"]} */
  part: (id, part, body, options) => put(`${pathOf(id)}/parts/${part}`, body, options),
  /** @type {import("./upload.js").Requests["part"]} */
  wavPart: (id, part, body, options) => put(`${pathOf(id)}/wav/parts/${part}`, body, options),
};

/**
 * @param {string} path
 * @param {ArrayBuffer} body
 * @param {{signal: AbortSignal, onProgress: (bytes: number) => void}} options
 * @returns {Promise<FileState>}
 */
function put(path, body, { signal, onProgress }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const abort = () => request.abort();
    /** @type {ReturnType<typeof setTimeout>} */
    let timer;
    const wait = () => {
      clearTimeout(timer);
      timer = setTimeout(abort, STALLED_MS);
    };
    request.open("PUT", path);
    const headers = { Accept: "application/json", "Accept-Language": pageLanguage, "Content-Type": "application/octet-stream", "X-CSRFToken": csrfToken() };
    for (const [name, content] of Object.entries(headers)) request.setRequestHeader(name, content);
    request.upload.onprogress = ({ loaded }) => {
      wait();
      onProgress(loaded);
    };
    request.onloadend = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", abort);
      try {
        resolve(contentOf(request));
      } catch (error) {
        reject(error);
      }
    };
    signal.addEventListener("abort", abort);
    wait();
    request.send(body);
  });
}

/** @param {XMLHttpRequest} request */
function contentOf(request) {
  const { status } = request;
  /** @type {any} */
  let content = null;
  try {
    content = JSON.parse(request.responseText);
  } catch {
    // A response of a proxy, or one that was cut off.
  }
  if (status >= 200 && status < 300 && content) return content;
  if (status < 400) throw new ApiError({});
  const retryAfterMs = 1000 * (Number(request.getResponseHeader("Retry-After")) || 0);
  const { code = `http_${status}`, message = status >= 500 ? text.serverTrouble : text.refused(status) } = content?.error ?? {};
  throw new ApiError({ status, code, message, retryAfterMs });
}
