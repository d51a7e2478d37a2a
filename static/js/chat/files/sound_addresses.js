// The addresses of sounds that are played from this browser, because the server may not have them yet.

/** @type {Record<string, string>} by the end of the name: some browsers play nothing without a type */
const TYPES = { flac: "audio/flac", m4a: "audio/mp4", mp3: "audio/mpeg", oga: "audio/ogg", ogg: "audio/ogg", opus: "audio/ogg", wav: "audio/wav", webm: "audio/webm" };

export class SoundAddresses {
  #read;
  /** @type {Map<string, string>} by file */
  #made = new Map();

  /** @param {(id: string) => Promise<ArrayBuffer | null>} read */
  constructor(read) {
    this.#read = read;
  }

  /**
   * The address of the sound, or null if this browser does not have it.
   * @param {{id: string, name: string}} file
   */
  async of({ id, name }) {
    const content = this.#made.has(id) ? null : await this.#read(id);
    const type = TYPES[name.slice(name.lastIndexOf(".") + 1).toLowerCase()] ?? "";
    if (content) this.#made.set(id, URL.createObjectURL(new Blob([content], { type })));
    return this.#made.get(id) ?? null;
  }

  /** @param {string} id */
  forget(id) {
    const address = this.#made.get(id);
    if (address) URL.revokeObjectURL(address);
    this.#made.delete(id);
  }
}
