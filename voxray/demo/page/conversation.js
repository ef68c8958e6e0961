// What was said in a call, built from the server's messages. No DOM.

/**
 * An item is one of
 *   { id, who: "user", text, interim }              words of the caller; `interim` ones may still change
 *   { id, who: "agent", text, heard, audible, cut, over, timing }
 *        `text` is all it set out to say, `heard` the part that reached the ear, `cut` that it was interrupted; one that was
 *        given up before it could be heard is removed
 *   { id, who: "tool", name, arguments, result, failed }
 *   { id, who: "note", text, kind }
 */
export class Conversation {
  items = [];
  #changed;
  #next = 1;
  #words; // the caller's item that is still open
  #hearing = false; // since they began to speak, until their turn ends
  #replies = new Map(); // number → item
  #tools = new Map();

  /** `changed(item)` is called for each item that is new or different, `changed(item, true)` for one that is gone. */
  constructor(changed) {
    this.#changed = changed;
  }

  note(text, kind = "info") {
    this.#add({ who: "note", text, kind });
  }

  /** A typed turn; the server does not repeat it. */
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

  timing({ reply, stages, totalSecs }) {
    const item = this.#replies.get(reply);
    if (item) this.#update(item, { timing: { stages, totalSecs } });
  }

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

  #transcribed({ text, finalized }) {
    if (!finalized && !this.#hearing) return; // a recogniser's guess at silence
    const item = this.#words ?? (text && this.#add({ who: "user", text: "", interim: "" }));
    if (!item) return;
    this.#words = item;
    this.#update(item, finalized ? { text: joined(item.text, text), interim: "" } : { interim: text });
    if (!item.text && !item.interim) this.#closeWords();
  }

  #turnEnded({ text, cause }) {
    if (cause === "text") return;
    this.#hearing = false;
    if (text && !this.#words) this.#words = this.#add({ who: "user", text: "", interim: "" });
    if (text) this.#update(this.#words, { text });
    this.#closeWords();
  }

  #closeWords() {
    const item = this.#words;
    this.#words = undefined;
    if (item && !item.text) this.#drop(item);
    else if (item?.interim) this.#update(item, { interim: "" });
  }

  #said(reply, text) {
    const item = this.#reply(reply);
    this.#update(item, { text: joined(item.text, text) });
  }

  #heard({ reply, text }) {
    const item = this.#replies.get(reply);
    if (item && !item.over) this.#update(item, { heard: joined(item.heard, text) });
  }

  #interrupted({ reply, heard, heard_secs: secs }) {
    const item = this.#replies.get(reply);
    if (!item) return;
    if (!item.audible) {
      this.#replies.delete(reply);
      return this.#drop(item);
    }
    this.#update(item, { heard, heardSecs: secs, cut: true, over: true });
  }

  #finished({ reply, text, interrupted }) {
    const item = this.#replies.get(reply);
    if (!item || interrupted) return;
    this.#update(item, { text: item.text || text, heard: item.text || text, over: true });
  }

  #toolCalled({ tool_call_id: id, function_name: name, arguments: given }) {
    this.#tools.set(id, this.#add({ who: "tool", name, arguments: given ?? {}, result: undefined, failed: false }));
  }

  #toolReturned({ tool_call_id: id, result, failed }) {
    const item = this.#tools.get(id);
    if (item) this.#update(item, { result, failed });
  }

  #reply(number) {
    let item = this.#replies.get(number);
    if (!item) {
      this.#closeWords();
      item = this.#add({ who: "agent", text: "", heard: "", audible: false, cut: false, over: false });
      this.#replies.set(number, item);
    }
    return item;
  }

  #add(item) {
    item.id = this.#next++;
    this.items.push(item);
    this.#changed(item);
    return item;
  }

  #update(item, changes) {
    Object.assign(item, changes);
    this.#changed(item);
  }

  #drop(item) {
    if (!item) return;
    this.items = this.items.filter((other) => other !== item);
    this.#changed(item, true);
  }
}

/**
 * `text` in two: the part that was heard, and the rest. White space does not count in the comparison. If `heard` is not
 * how `text` begins, both stand whole.
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

function joined(before, after) {
  return [before, after].map((part) => part.trim()).filter(Boolean).join(" ");
}
