// What was said in a call, built from the server's messages. No DOM.

/**
 * What somebody said, or what happened. `at` is when it began, in milliseconds since 1970.
 *
 * "user": `text` is certain, `interim` may still change; `typed` was not spoken.
 * "agent": `text` is all it set out to say, `heard` the part that reached the ear, `audible` that a part of it may have,
 * `cut` that it was interrupted after `heardSecs`, `over` that nothing changes any more. One that was given up before it
 * could be heard is removed.
 * "tool": `name` was called with `arguments`.
 * "note": `text` for people, of a `kind`.
 *
 * @typedef {object} Item
 * @property {number} id
 * @property {number} at
 * @property {"user" | "agent" | "tool" | "note"} who
 * @property {string} text
 * @property {string} [interim]
 * @property {boolean} [typed]
 * @property {string} [heard]
 * @property {number} [heardSecs]
 * @property {boolean} [audible]
 * @property {boolean} [cut]
 * @property {boolean} [over]
 * @property {{ stages: import("./types.js").Stage[], totalSecs: number }} [timing]
 * @property {string} [name]
 * @property {Record<string, unknown>} [arguments]
 * @property {unknown} [result]
 * @property {boolean} [failed]
 * @property {string} [kind]
 */

export class Conversation {
  /** @type {Item[]} */
  items = [];
  #changed;
  #next = 1;
  /** @type {Item | undefined} */
  #words; // the caller's item that is still open
  #hearing = false; // since they began to speak, until their turn ends
  /** @type {Map<number, Item>} */
  #replies = new Map();
  /** @type {Map<string, Item>} */
  #tools = new Map();

  /** @param {(item: Item, gone?: boolean) => void} [changed] called for each item that is new, different or gone */
  constructor(changed = () => {}) {
    this.#changed = changed;
  }

  /**
   * @param {string} text
   * @param {string} [kind]
   */
  note(text, kind = "info") {
    this.#add({ who: "note", text, kind });
  }

  /**
   * A typed turn; the server does not repeat it.
   *
   * @param {string} text
   */
  typed(text) {
    this.#closeWords();
    this.#add({ who: "user", text, interim: "", typed: true });
  }

  /** A new call: later answers count from 1 again. */
  begin() {
    this.#words = undefined;
    this.#replies.clear();
    this.#tools.clear();
  }

  /** The call is over: nothing changes any more. */
  end() {
    this.#closeWords();
    for (const item of this.#replies.values()) if (!item.over) this.#update(item, { over: true });
  }

  /** @param {import("./types.js").Timing} timing */
  timing({ reply, stages, totalSecs }) {
    const item = this.#replies.get(reply);
    if (item) this.#update(item, { timing: { stages, totalSecs } });
  }

  /**
   * A message of the server.
   *
   * @param {string} type
   * @param {Record<string, any>} data
   */
  see(type, data) {
    switch (type) {
      case "UserStartedSpeakingFrame":
        this.#hearing = true;
        return;
      case "TranscriptionFrame":
        return this.#transcribed(data);
      case "UserTurnFrame":
        return this.#turnEnded(data);
      case "AggregatedTextFrame":
        return this.#said(data.reply, data.text);
      case "BotStartedSpeakingFrame":
        return this.#update(this.#reply(data.reply), { audible: true });
      case "TTSTextFrame":
        return this.#heard(data);
      case "InterruptionFrame":
        return this.#interrupted(data);
      case "BotStoppedSpeakingFrame":
        return this.#finished(data);
      case "FunctionCallInProgressFrame":
        return this.#toolCalled(data);
      case "FunctionCallResultFrame":
        return this.#toolReturned(data);
    }
  }

  /** @param {Record<string, any>} data */
  #transcribed({ text, finalized }) {
    if (!finalized && !this.#hearing) return; // a recogniser's guess at silence
    if (!this.#words && !text) return;
    const item = this.#words ?? this.#add({ who: "user", text: "", interim: "" });
    this.#words = item;
    this.#update(item, finalized ? { text: joined(item.text, text), interim: "" } : { interim: text });
    if (!item.text && !item.interim) this.#closeWords();
  }

  /** @param {Record<string, any>} data */
  #turnEnded({ text, cause }) {
    if (cause === "text") return;
    this.#hearing = false;
    if (text) {
      this.#words ??= this.#add({ who: "user", text: "", interim: "" });
      this.#update(this.#words, { text });
    }
    this.#closeWords();
  }

  #closeWords() {
    const item = this.#words;
    this.#words = undefined;
    if (item && !item.text) this.#drop(item);
    else if (item?.interim) this.#update(item, { interim: "" });
  }

  /**
   * @param {number} reply
   * @param {string} text
   */
  #said(reply, text) {
    const item = this.#reply(reply);
    this.#update(item, { text: joined(item.text, text) });
  }

  /** @param {Record<string, any>} data */
  #heard({ reply, text }) {
    const item = this.#replies.get(reply);
    if (item && !item.over) this.#update(item, { heard: joined(item.heard ?? "", text) });
  }

  /** @param {Record<string, any>} data */
  #interrupted({ reply, heard, heard_secs: secs }) {
    const item = this.#replies.get(reply);
    if (!item) return;
    if (!item.audible) {
      this.#replies.delete(reply);
      return this.#drop(item);
    }
    this.#update(item, { heard, heardSecs: secs, cut: true, over: true });
  }

  /** @param {Record<string, any>} data */
  #finished({ reply, text, interrupted }) {
    const item = this.#replies.get(reply);
    if (!item || interrupted) return;
    this.#update(item, { text: item.text || text, heard: item.text || text, over: true });
  }

  /** @param {Record<string, any>} data */
  #toolCalled({ tool_call_id: id, function_name: name, arguments: given }) {
    const item = this.#add({ who: "tool", text: "", name, arguments: given ?? {}, result: undefined, failed: false });
    this.#tools.set(id, item);
  }

  /** @param {Record<string, any>} data */
  #toolReturned({ tool_call_id: id, result, failed }) {
    const item = this.#tools.get(id);
    if (item) this.#update(item, { result, failed });
  }

  /** @param {number} number */
  #reply(number) {
    let item = this.#replies.get(number);
    if (!item) {
      this.#closeWords();
      item = this.#add({ who: "agent", text: "", heard: "", audible: false, cut: false, over: false });
      this.#replies.set(number, item);
    }
    return item;
  }

  /** @param {Omit<Item, "id" | "at">} content */
  #add(content) {
    const item = { id: this.#next++, at: Date.now(), ...content };
    this.items.push(item);
    this.#changed(item);
    return item;
  }

  /**
   * @param {Item} item
   * @param {Partial<Item>} changes
   */
  #update(item, changes) {
    Object.assign(item, changes);
    this.#changed(item);
  }

  /** @param {Item} item */
  #drop(item) {
    this.items = this.items.filter((other) => other !== item);
    this.#changed(item, true);
  }
}

/**
 * `text` in two: the part that was heard, and the rest. White space does not count in the comparison. If `heard` is not
 * how `text` begins, both stand whole.
 *
 * @param {string} text
 * @param {string} heard
 * @returns {[string, string]}
 */
export function splitHeard(text, heard) {
  const wanted = heard.replace(/\s+/g, "");
  let matched = 0;
  let at = 0;
  while (at < text.length && matched < wanted.length) {
    if (!/\s/.test(text[at])) {
      if (text[at] !== wanted[matched]) return wanted ? [heard, text] : ["", text];
      matched++;
    }
    at++;
  }
  return [text.slice(0, at), text.slice(at)];
}

/** @type {(before: string, after: string) => string} */
function joined(before, after) {
  return [before, after].map((part) => part.trim()).filter(Boolean).join(" ");
}
