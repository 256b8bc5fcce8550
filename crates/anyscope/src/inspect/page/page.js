
'use strict';
(() => {
  // What the document says of itself. Seconds.
  const page = document.documentElement.dataset;
  const LIMITS = { poll: Number(page.inPoll), ready: Number(page.ready), cancelling: Number(page.cancelling) };
  const SOURCE = location.pathname.replace(/\/?$/, '/tree.json');
  const ROW = 28, HEAD = 30;
  const DEEPEST = 16; // Further in, the depth is told by a number.
  const CHANGES = 24; // So many changes are kept of each task,
  const ENDED = 300; // and so many tasks that have ended.

  const $ = (id) => document.getElementById(id);
  const tree = $('tree'), rows = $('rows'), story = $('story'), search = $('search');

  // Everything that lives, by its key: `t7` is task 7, `g7` is group 7. Kept from one tree to the next.
  const known = new Map();
  const ended = new Map();
  let all = []; // in the order of the walk
  let view = []; // what of it is to be seen
  let generation = 0;
  let active = null; // where the keys are
  let opened = null; // whose story is told
  let shown = 'all', terms = [];
  let isPaused = false, lastAnswer = 0, every = 1000, size = 0, spent = 0, fetched = 0, marked = 0;

  // ---- A tree comes in

  function take(nodes) {
    const now = performance.now();
    generation += 1;
    const list = new Array(nodes.length);
    for (let i = 0; i < nodes.length; i += 1) {
      const node = nodes[i];
      const isGroup = node.members !== undefined;
      const key = (isGroup ? 'g' : 't') + node.id;
      let one = known.get(key);
      if (one === undefined) {
        one = { key, isGroup, node, isFolded: false, changes: [], changed: '', hay: '', readySince: 0, polls: -1, cancelSince: 0, endSince: 0, stuck: '' };
        known.set(key, one);
      }
      one.node = node;
      one.seen = generation;
      one.parent = node.parent === null ? null : list[node.parent];
      one.depth = one.parent === null ? 0 : one.parent.depth + 1;
      one.end = i + 1;
      one.size = 0;
      one.place = i;
      one.position = one.parent === null ? 0 : (one.parent.size += 1);
      list[i] = one;
    }
    for (let i = list.length - 1; i >= 0; i -= 1) {
      const { parent, end } = list[i];
      if (parent !== null && parent.end < end) parent.end = end;
    }
    // After all of them are there: what they wait for has a name.
    for (const one of list) {
      mark(one, now);
      note(one);
    }
    for (const [key, one] of known) {
      if (one.seen === generation) continue;
      known.delete(key);
      one.changes.push([Date.now(), 'ended', '']);
      one.isGone = true;
      ended.set(key, one);
    }
    for (const key of ended.keys()) {
      if (ended.size <= ENDED) break;
      if (opened !== null && key === opened.key) continue;
      ended.delete(key);
    }
    all = list;
  }

  // Whether it is stuck, in words.
  function mark(one, now) {
    const { node, stuck } = one;
    const noted = node.noted;
    const isReady = node.state === 'ready';
    const polls = noted === null ? -1 : noted.polls;
    if (!isReady || polls !== one.polls || one.readySince === 0) one.readySince = isReady ? now : 0;
    one.polls = polls;
    if (node.cancelled === null) one.cancelSince = 0;
    else if (one.cancelSince === 0) one.cancelSince = now;
    // A shield has it live on with good reason, and so has a limit that it waits behind.
    if (node.cancelled === null || node.shielded === true || node.state === 'held back') one.endSince = 0;
    else if (one.endSince === 0) one.endSince = now;
    const ready = isReady ? (now - one.readySince) / 1000 : 0;
    const cancelling = one.endSince === 0 ? 0 : (now - one.endSince) / 1000;
    if (!one.isGroup && noted !== null && noted.polled_for_s !== null && noted.polled_for_s >= LIMITS.poll) one.stuck = `in one poll for ${time(noted.polled_for_s)}`;
    else if (!one.isGroup && node.shield_in_s !== null && node.shield_in_s < 0) one.stuck = `${time(-node.shield_in_s)} over the budget of its shield`;
    else if (isReady && ready >= LIMITS.ready) one.stuck = `woken, and not polled for ${time(ready)}`;
    else if (one.endSince !== 0 && cancelling >= LIMITS.cancelling) one.stuck = `cancelled for ${time(cancelling)}, and has not ended`;
    else one.stuck = '';
    if ((stuck === '') !== (one.stuck === '')) one.hay = '';
  }

  // A line of its history, where something has changed but for the time.
  function note(one) {
    const { node } = one;
    let sign = node.state;
    if (node.noted !== null) {
      for (const wait of node.noted.waits) {
        sign += '|' + wait.kind + (wait.task || wait.group || '');
        if (wait.held_by !== undefined) for (const by of wait.held_by) sign += ',' + by.task;
      }
      if (node.noted.foreign) sign += '?';
    }
    if (node.cancelled !== null) sign += '!';
    if (sign === one.changed) return;
    one.changed = sign;
    one.hay = '';
    one.changes.push([Date.now(), node.state, waits(one)]);
    if (one.changes.length > CHANGES) one.changes.shift();
  }

  // ---- Words

  function time(seconds) {
    if (seconds < 0.001) return `${Math.round(seconds * 1e6)} µs`;
    if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
    if (seconds < 10) return `${seconds.toFixed(1)} s`;
    if (seconds < 60) return `${Math.floor(seconds)} s`;
    if (seconds < 3600) return `${Math.floor(seconds / 60)}m ${String(Math.floor(seconds % 60)).padStart(2, '0')}s`;
    if (seconds < 86400) return `${Math.floor(seconds / 3600)}h ${String(Math.floor(seconds / 60) % 60).padStart(2, '0')}m`;
    return `${Math.floor(seconds / 86400)}d ${String(Math.floor(seconds / 3600) % 24).padStart(2, '0')}h`;
  }

  const number = (n) => n.toLocaleString('en');
  const tail = (place) => place.split(/[\\/]/).slice(-2).join('/').replace(/(:\d+):\d+$/, '$1');
  const file = (place) => tail(place).split('/').pop();
  const kind = (one) => (one.node.kind === 'detached' ? 'detached group' : one.node.kind);
  const find = (key) => known.get(key) || ended.get(key);

  function label(one) {
    if (one.node.name !== null) return one.node.name;
    if (one.node.kind === 'run') return `run on ${one.node.runtime}`;
    return `${kind(one)} #${one.node.id}`;
  }

  function labelOf(key) {
    const one = find(key);
    return one === undefined ? `#${key.slice(1)}, which has ended` : label(one);
  }

  function held(by) {
    const who = by.task === null ? 'what is no task' : labelOf('t' + by.task);
    return by.permits > 1 ? `${who} (${by.permits})` : who;
  }

  function wait(one) {
    if (one.task !== undefined) return labelOf('t' + one.task);
    if (one.group !== undefined) return `the members of ${labelOf('g' + one.group)}`;
    const timer = one.kind === 'time' ? /in ([\d.]+)(ns|µs|ms|s)$/.exec(one.text) : null;
    if (timer !== null) return `timer, in ${time(Number(timer[1]) * { ns: 1e-9, µs: 1e-6, ms: 1e-3, s: 1 }[timer[2]])}`;
    const text = one.text.replace(/^(an?|the) /, '').replace(/ (?:\(begun|made) at (.*?)\)?$/, (_, place) => ` of ${file(place)}`);
    return one.held_by === undefined || one.held_by.length === 0 ? text : `held by ${one.held_by.map(held).join(', ')} · ${text}`;
  }

  // The first of many are enough on a line; the story has all of them.
  function either(list) {
    const words = list.slice(0, list.length > 3 ? 2 : 3).map(wait);
    if (list.length > 3) words.push(`${list.length - 2} more`);
    return words.join(', or ');
  }

  // What it waits for, on one line.
  function waits(one) {
    const { node } = one;
    const noted = node.noted;
    if (one.isGroup) {
      const parts = noted === null || noted.waits.length === 0 ? [] : [either(noted.waits)];
      if (node.members > 0) parts.push(node.members === 1 ? '1 member' : `${number(node.members)} members`);
      if (node.adopted > 0) parts.push(`${node.adopted} left running`);
      if (parts.length === 0) return 'no members';
      return parts.join(' · ');
    }
    if (noted === null) return 'not written down yet';
    if (noted.polled_for_s !== null) return `in a poll for ${time(noted.polled_for_s)}`;
    if (node.state === 'held back' || (noted.polls === 0 && noted.waits.length === 0)) return 'its first poll';
    if (node.state === 'ready') return 'its turn';
    if (noted.waits.length === 0) return 'something foreign';
    const words = either(noted.waits);
    return noted.foreign ? `something foreign, or still ${words}` : words;
  }

  const STATES = {
    running: 'running', ready: 'ready', idle: 'idle', shielded: 'shielded', 'in a blocking job': 'blocking', cancelling: 'cancelling',
    'held back': 'held', open: 'idle', closing: 'idle', finalising: 'shielded', dropped: 'cancelling', ended: 'gone',
  };

  function state(node) {
    if (node.state === 'in a blocking job') return 'blocking job';
    return node.shielded && node.state !== 'shielded' ? `${node.state}, shielded` : node.state;
  }

  // ---- What is to be seen

  const FIELDS = {
    __proto__: null,
    name: (one) => label(one),
    id: (one) => String(one.node.id),
    at: (one) => one.node.location || '',
    state: (one) => `${one.node.state}${one.stuck === '' ? '' : ' stuck'}${one.node.cancelled === null ? '' : ' cancelled'}${one.node.shielded ? ' shielded' : ''}`,
    waits: (one) => (one.node.noted === null ? '' : one.node.noted.waits.map((w) => `${w.kind} ${wait(w)} ${w.text}`).join('\n')) + (one.isGroup ? '' : waits(one)),
  };

  // Words, or what is in quotes, each with a field in front of it or not. What is still being typed counts as if it were done.
  function read(query) {
    const found = query.toLowerCase().matchAll(/(?:([a-z]+):)?(?:"([^"]*)"?|(\S*))/g);
    terms = [...found].map(([, named, phrase, word]) => {
      const field = FIELDS[named];
      const text = phrase ?? word;
      return field === undefined && named !== undefined ? { field: null, word: `${named}:${text}` } : { field: field || null, word: text };
    }).filter(({ word }) => word !== '');
  }

  function hay(one) {
    if (one.hay === '') {
      const why = one.node.cancelled;
      one.hay = `${label(one)}\n#${one.node.id}\n${kind(one)}\n${FIELDS.at(one)}\n${FIELDS.state(one)}\n${FIELDS.waits(one)}\n${why === null ? '' : `${why.kind} ${why.message || ''} ${why.location}`}`.toLowerCase();
    }
    return one.hay;
  }

  const SHOWS = {
    all: () => true,
    running: (one) => !one.isGroup && one.node.state === 'running',
    waiting: (one) => !one.isGroup && one.node.state !== 'running',
    cancelled: (one) => one.node.cancelled !== null,
    stuck: (one) => one.stuck !== '',
  };

  function isWanted(one) {
    if (!SHOWS[shown](one)) return false;
    for (const { field, word } of terms) {
      if (!(field === null ? hay(one) : field(one).toLowerCase()).includes(word)) return false;
    }
    return true;
  }

  let hits = 0;

  function layout() {
    const before = view.length === 0 ? null : view[Math.min(view.length - 1, Math.floor(tree.scrollTop / ROW))];
    const offset = before === null ? 0 : tree.scrollTop - before.row * ROW;
    view = [];
    hits = 0;
    if (shown === 'all' && terms.length === 0) {
      for (let i = 0; i < all.length; ) {
        const one = all[i];
        one.isAside = false;
        one.row = view.length;
        view.push(one);
        i = one.isFolded ? one.end : i + 1;
      }
      hits = all.length;
    } else {
      // What is around a hit stands there too, aside.
      for (const one of all) one.row = -1;
      for (const one of all) {
        one.isAside = !isWanted(one);
        if (one.isAside) continue;
        hits += 1;
        for (let up = one; up !== null && up.row === -1; up = up.parent) up.row = 0;
      }
      for (const one of all) {
        if (one.row === -1) continue;
        one.row = view.length;
        view.push(one);
      }
    }
    rows.style.height = `${view.length * ROW}px`;
    // What stood at the top stays there.
    if (before !== null && tree.scrollTop > 0 && before.seen === generation && view[before.row] === before) {
      const top = before.row * ROW + offset;
      if (Math.abs(tree.scrollTop - top) >= 1) tree.scrollTop = top;
    }
    if (active === null || active.seen !== generation || view[active.row] !== active) {
      active = view[Math.min(view.length - 1, Math.max(0, active === null ? 0 : active.row))] || null;
    }
    const nothing = $('empty');
    nothing.hidden = view.length > 0 || lastAnswer === 0;
    if (!nothing.hidden) text(nothing, all.length === 0 ? 'Nothing lives.' : shown === 'stuck' && terms.length === 0 ? 'Nothing is stuck.' : 'Nothing is like that.');
  }

  // ---- The rows that are on the screen, and no others

  function text(element, words) {
    if (element.textContent !== words) element.textContent = words;
  }

  function name(element, words) {
    if (element.className !== words) element.className = words;
  }

  function attribute(element, key, value) {
    if (value === null) element.removeAttribute(key);
    else if (element.getAttribute(key) !== value) element.setAttribute(key, value);
  }

  function element(tag, className, ...inside) {
    const made = document.createElement(tag);
    if (className !== '') made.className = className;
    made.append(...inside);
    return made;
  }

  const pool = [];
  const height = () => tree.clientHeight - HEAD; // what the head leaves of it

  function row() {
    const parts = {
      indent: element('span', 'in'), twist: element('span', 'twist'), deep: element('span', 'deep'), called: element('bdi', 'called'),
      kind: element('span', 'kind'), id: element('span', 'id'), badge: element('span', 'badge'),
      dot: element('span', 'dot'), word: element('span', 'word'),
      waits: element('span', 'waits'), age: element('span', 'age n'), polls: element('span', 'polls n'), where: element('span', 'where'), at: document.createElement('bdi'),
    };
    parts.name = element('span', 'name', parts.indent, parts.twist, parts.deep, parts.called, parts.kind, parts.id, parts.badge);
    parts.state = element('span', 'state', parts.dot, parts.word);
    parts.at.dir = 'ltr';
    parts.where.append(parts.at);
    parts.row = element('div', 'row', parts.name, parts.state, parts.waits, parts.age, parts.polls, parts.where);
    parts.row.setAttribute('role', 'row');
    for (const cell of parts.row.children) cell.setAttribute('role', 'gridcell');
    rows.append(parts.row);
    return parts;
  }

  function fill(parts, one) {
    const { node } = one;
    const isStuck = one.stuck !== '', isCancelled = node.cancelled !== null;
    const hasInside = one.size > 0;
    const isOpen = terms.length > 0 || shown !== 'all' || !one.isFolded;
    const noted = node.noted;
    parts.row.hidden = false;
    parts.row.dataset.key = one.key;
    parts.row.id = `row-${one.key}`;
    parts.row.style.transform = `translateY(${one.row * ROW}px)`;
    name(parts.row, `row${one.isGroup ? (node.name === null && node.kind !== 'run' ? ' group nameless' : ' group') : ''}${one.isAside ? ' aside' : ''}${isStuck ? ' bad' : isCancelled ? ' warn' : ''}${opened === one ? ' open' : ''}${active === one ? ' at' : ''}`);
    parts.indent.style.width = `${Math.min(one.depth, DEEPEST) * 16}px`;
    text(parts.twist, isOpen ? '▾' : '▸');
    name(parts.twist, hasInside ? 'twist' : 'twist leaf');
    text(parts.deep, one.depth > DEEPEST ? `[${one.depth} deep]` : '');
    const hasName = node.name !== null;
    text(parts.called, label(one));
    parts.called.title = hasName ? node.name : '';
    text(parts.kind, hasName || node.kind === 'run' ? (node.kind === 'task' || node.kind === 'run' ? '' : kind(one)) : '');
    text(parts.id, hasName || node.kind === 'run' ? `#${node.id}` : '');
    parts.kind.hidden = parts.kind.textContent === '';
    parts.id.hidden = parts.id.textContent === '';
    parts.badge.hidden = !isStuck && !isCancelled;
    text(parts.badge, isStuck ? 'stuck' : 'cancelled');
    name(parts.badge, isStuck ? 'badge stuck' : 'badge cancelled');
    name(parts.state, `state s-${STATES[node.state] || 'idle'}`);
    text(parts.word, state(node));
    const words = isStuck ? one.stuck : waits(one);
    text(parts.waits, words);
    name(parts.waits, isStuck ? 'waits stuck-text' : 'waits');
    parts.waits.title = words;
    text(parts.age, noted === null || one.isGroup ? '' : time(noted.age_s));
    parts.age.title = noted === null || noted.from_birth ? '' : 'at least so old';
    text(parts.polls, noted === null || one.isGroup ? '' : number(noted.polls));
    text(parts.at, node.location === null ? '' : tail(node.location));
    parts.where.title = node.location || '';
    attribute(parts.row, 'aria-level', String(one.depth + 1));
    attribute(parts.row, 'aria-expanded', hasInside ? String(isOpen) : null);
    attribute(parts.row, 'aria-selected', String(opened === one));
    attribute(parts.row, 'aria-rowindex', String(one.row + 2));
    attribute(parts.row, 'aria-posinset', one.parent === null ? null : String(one.position));
    attribute(parts.row, 'aria-setsize', one.parent === null ? null : String(one.parent.size));
    attribute(parts.row, 'aria-label', `${label(one)}, ${kind(one)} ${node.id}, ${node.state}${isCancelled ? ', cancelled' : ''}${isStuck ? `, stuck: ${one.stuck}` : one.isGroup ? `, ${words}` : `, waits for ${words}`}`);
  }

  function draw() {
    const first = Math.max(0, Math.floor(tree.scrollTop / ROW) - 4);
    const last = Math.min(view.length, first + Math.ceil(height() / ROW) + 8);
    while (pool.length < last - first) pool.push(row());
    // A line keeps its element while it is on the screen, so that what has the pointer or a reader's attention stays.
    const count = pool.length;
    for (const parts of pool) parts.isUsed = false;
    for (let i = first; i < last; i += 1) {
      const parts = pool[i % count];
      parts.isUsed = true;
      fill(parts, view[i]);
    }
    for (const parts of pool) {
      if (parts.isUsed) continue;
      parts.row.hidden = true;
      parts.row.removeAttribute('id');
    }
    attribute(tree, 'aria-rowcount', String(view.length + 1));
    attribute(tree, 'aria-activedescendant', active !== null && active.row >= first && active.row < last ? `row-${active.key}` : null);
  }

  // ---- The story of one

  const h = (tag, attributes, ...inside) => ({ tag, attributes: attributes || {}, inside });

  // Makes what is in `parent` what the list says, and leaves alone what is so already: focus and scroll stay.
  function become(parent, list) {
    let i = 0;
    for (const one of list.flat(Infinity)) {
      if (one === null || one === undefined || one === false) continue;
      const old = parent.childNodes[i];
      i += 1;
      if (typeof one === 'string') {
        if (old !== undefined && old.nodeType === Node.TEXT_NODE) {
          if (old.data !== one) old.data = one;
        } else {
          const made = document.createTextNode(one);
          if (old === undefined) parent.append(made);
          else old.replaceWith(made);
        }
        continue;
      }
      let at = old;
      if (old === undefined || old.nodeName.toLowerCase() !== one.tag) {
        at = document.createElement(one.tag);
        if (old === undefined) parent.append(at);
        else old.replaceWith(at);
      }
      for (const key of at.getAttributeNames()) if (!(key in one.attributes)) at.removeAttribute(key);
      for (const key in one.attributes) attribute(at, key, one.attributes[key]);
      become(at, one.inside);
    }
    while (parent.childNodes.length > i) parent.lastChild.remove();
  }

  const to = (key) => (find(key) === undefined ? h('span', {}, labelOf(key)) : h('button', { class: 'to', 'data-to': key }, h('bdi', {}, labelOf(key)), find(key).node.name === null ? '' : ` #${key.slice(1)}`));
  const place = (where) => h('span', { class: 'mono' }, where === null ? 'not known' : where);
  const fact = (term, ...what) => [h('dt', {}, term), h('dd', {}, ...what)];
  const due = (seconds) => (seconds === null ? 'none' : seconds < 0 ? `over by ${time(-seconds)}` : `in ${time(seconds)}`);
  const clock = (at) => new Date(at).toLocaleTimeString('en-GB');

  const ROLES = { service: 'service: cancelled when only services are left', 'clean-up': 'clean-up: behind a shield' };
  const WHY = {
    explicit: 'somebody asked for it', deadline: 'its deadline has passed', 'sibling failed': 'a sibling failed', parent: 'what is around it was cancelled',
    shutdown: 'its group is shutting down', dropped: 'what it belongs to was dropped',
  };

  function waiting(one) {
    const waited = `for ${time(one.for_s)}`;
    const what = one.task !== undefined ? ['the end of ', to('t' + one.task)] : one.group !== undefined ? ['the members of ', to('g' + one.group)] : [one.text];
    const by = one.held_by || [];
    return h('li', {}, ...what, h('span', { class: 'more' }, ` · ${waited}`),
      by.length === 0 ? null : h('div', { class: 'more' }, 'held by ', by.map((who, i) => [i === 0 ? '' : ', ', who.task === null ? 'what is no task' : to('t' + who.task), who.permits > 1 ? ` (${who.permits})` : ''])));
  }

  // Who waits for this one, or for something that it holds.
  function waiters(one) {
    const found = [];
    for (const other of all) {
      if (other === one || other.node.noted === null) continue;
      for (const wait of other.node.noted.waits) {
        const isFor = one.isGroup ? wait.group === one.node.id : wait.task === one.node.id || (wait.held_by !== undefined && wait.held_by.some((by) => by.task === one.node.id));
        if (isFor) { found.push([other, wait]); break; }
      }
      if (found.length > 50) break;
    }
    return found;
  }

  function tell() {
    if (opened === null) {
      if (!story.hidden) { story.hidden = true; document.querySelector('main').classList.remove('with-story'); }
      return;
    }
    const one = opened;
    const { node } = one;
    const noted = node.noted;
    if (story.hidden) { story.hidden = false; document.querySelector('main').classList.add('with-story'); story.scrollTop = 0; }
    const around = [];
    for (let up = one.parent; up !== null && up !== undefined; up = up.parent) around.push(up);
    const by = one.isGone ? [] : waiters(one);
    const why = node.cancelled;
    const word = one.isGone ? 'ended' : node.state;
    become(story, [
      h('div', { class: 'top' }, h('h2', {}, h('bdi', {}, label(one))), h('button', { class: 'close', 'data-close': '', title: 'Close (Esc)' }, 'Close')),
      h('p', { class: 'sub' }, `${kind(one)} #${node.id}`, one.isGroup ? ` on ${node.runtime}` : ''),
      h('p', { class: `state s-${STATES[word] || 'idle'}` }, h('span', { class: 'dot' }), h('span', {}, one.isGone ? 'has ended; this is what was seen last' : state(node))),
      one.stuck === '' || one.isGone ? null : h('p', { class: 'alarm' }, `Stuck: ${one.stuck}`),
      why === null ? null : [
        h('p', { class: 'alarm warn' }, `Cancelled: ${WHY[why.kind] || why.kind}${why.message === null ? '' : `, “${why.message}”`}`),
        h('dl', { class: 'facts' }, fact('caused at', place(why.location)), why.task === null ? null : fact('by', to('t' + why.task)), one.cancelSince === 0 || one.isGone ? null : fact('seen so for', time((performance.now() - one.cancelSince) / 1000))),
      ],
      h('h3', {}, 'What is known'),
      h('dl', { class: 'facts' },
        fact(one.isGroup ? 'opened at' : 'spawned at', place(node.location)),
        one.isGroup ? fact('members', number(node.members)) : null,
        one.isGroup && node.adopted > 0 ? fact('left running', `${node.adopted}, which it waits for`) : null,
        !one.isGroup && ROLES[node.kind] !== undefined ? fact('is a', ROLES[node.kind]) : null,
        noted === null || one.isGroup ? null : fact('age', `${noted.from_birth ? '' : 'at least '}${time(noted.age_s)}`),
        noted === null || one.isGroup ? null : fact('polls', `${noted.from_birth ? '' : 'at least '}${number(noted.polls)}`),
        noted === null || one.isGroup ? null : fact('longest poll', time(noted.longest_poll_s)),
        noted !== null && noted.polled_for_s !== null ? fact('this poll', `for ${time(noted.polled_for_s)}`) : null,
        fact('deadline', due(node.deadline_in_s)),
        one.isGroup ? null : fact('shield', node.shield_in_s !== null && node.shield_in_s < 0 ? `${time(-node.shield_in_s)} over its budget` : !node.shielded ? 'none' : node.shield_in_s === null ? 'up' : `up for another ${time(node.shield_in_s)}`)),
      noted === null || one.isGone || (one.isGroup && noted.waits.length === 0) ? null : [
        h('h3', {}, one.isGroup ? 'Its body waits for' : 'Waits for'),
        noted.waits.length === 0 ? h('p', {}, waits(one)) : h('ul', {}, noted.waits.map(waiting)),
        noted.foreign && noted.waits.length > 0 ? h('p', { class: 'more' }, 'From an earlier poll: the last one came to wait for something foreign.') : null,
      ],
      by.length === 0 ? null : [
        h('h3', {}, 'Waited for by'),
        h('ul', {}, by.slice(0, 50).map(([other, wait]) => h('li', {}, to(other.key), h('span', { class: 'more' }, ` · for ${time(wait.for_s)}`)))),
        by.length > 50 ? h('p', { class: 'more' }, 'and more') : null,
      ],
      around.length === 0 ? null : [h('h3', {}, 'It is in'), h('ol', {}, around.slice(0, 60).map((up) => h('li', {}, to(up.key), h('span', { class: 'more' }, ` · ${kind(up)}, ${up.isGone ? 'ended' : up.node.state}`))), around.length > 60 ? h('li', {}, `and ${around.length - 60} more`) : null)],
      h('h3', {}, 'Since this page looks'),
      h('div', { class: 'log' }, one.changes.slice().reverse().map(([at, was, words]) => [h('time', {}, clock(at)), h('div', {}, h('span', { class: `s-${STATES[was] || 'idle'}` }, was), words === '' ? '' : h('span', { class: 'more' }, ` · ${words}`))])),
    ]);
    attribute(story, 'aria-label', `Story of ${label(one)}`);
    attribute(story, 'data-key', one.key);
  }

  // ---- All of it

  function say(words) {
    text($('said'), words);
  }

  function show() {
    layout();
    draw();
    tell();
    const counts = { all: all.length, running: 0, waiting: 0, cancelled: 0, stuck: 0 };
    for (const one of all) {
      if (SHOWS.running(one)) counts.running += 1;
      else if (!one.isGroup) counts.waiting += 1;
      if (one.node.cancelled !== null) counts.cancelled += 1;
      if (one.stuck !== '') counts.stuck += 1;
    }
    for (const button of document.querySelectorAll('[data-show]')) {
      text(button.lastElementChild, number(counts[button.dataset.show]));
      button.classList.toggle('some', counts[button.dataset.show] > 0);
    }
    if (counts.stuck > marked) say(`${counts.stuck} stuck`);
    marked = counts.stuck;
    text($('count'), hits === all.length ? `${number(all.length)} tasks and groups` : `${number(hits)} of ${number(all.length)} tasks and groups`);
    text($('cost'), `${size < 1e6 ? `${Math.round(size / 1000)} kB` : `${(size / 1e6).toFixed(1)} MB`} · ${Math.round(spent)} ms`);
  }

  function link(state, words) {
    attribute($('link'), 'data-link', state);
    text($('link-text'), words);
    document.body.classList.toggle('lost', state === 'lost');
  }

  async function update() {
    try {
      const asked = performance.now();
      const answer = await fetch(SOURCE, { cache: 'no-store', signal: AbortSignal.timeout(15000) });
      if (!answer.ok) throw new Error(`the server says ${answer.status}`);
      const body = await answer.text();
      if (isPaused) return;
      const begun = performance.now();
      fetched = begun - asked;
      const { schema, nodes } = JSON.parse(body);
      if (schema !== 1) throw new Error(`the tree is of schema ${schema}: reload`);
      size = body.length;
      lastAnswer = Date.now();
      take(nodes);
      if (generation === 1) begin();
      show();
      spent = performance.now() - begun;
      page.updates = String(generation);
      page.updateMs = spent.toFixed(1);
      page.updateBytes = String(size);
      if ($('link').dataset.link === 'lost') say('connected again');
      link('live', 'live');
    } catch (error) {
      if (isPaused) return;
      const silent = lastAnswer === 0 ? '' : ` for ${time((Date.now() - lastAnswer) / 1000)}`;
      if ($('link').dataset.link !== 'lost') say('no answer from the service');
      link('lost', `no answer${silent}: ${error.message}`);
    }
  }

  async function run() {
    for (;;) {
      if (!isPaused && !document.hidden) await update();
      // One that is costly is asked for less often: the page takes a fifth of a core at most, and half of a thin line.
      await new Promise((resolve) => { setTimeout(resolve, Math.max(every, 4 * spent, fetched)); });
    }
  }

  // ---- What people do

  function begin() {
    const asked = find(decodeURIComponent(location.hash.slice(1)));
    if (asked !== undefined) opened = active = asked;
  }

  function reveal(one) {
    for (let up = one.parent; up !== null && up !== undefined; up = up.parent) up.isFolded = false;
    if (one.isGone) return;
    active = one;
    layout();
    if (view[one.row] !== one) { // the search hides it
      search.value = '';
      terms = [];
      choose('all');
      active = one;
      layout();
    }
    intoSight();
  }

  function intoSight() {
    if (active === null) return;
    const top = active.row * ROW;
    if (top < tree.scrollTop) tree.scrollTop = top;
    else if (top + ROW > tree.scrollTop + height()) tree.scrollTop = top + ROW - height();
  }

  function open(one, isNew = true) {
    if (opened !== one) {
      if (isNew) history.pushState(null, '', one === null ? location.pathname + location.search : `#${one.key}`);
      else history.replaceState(null, '', `#${one.key}`);
    }
    opened = one;
    draw();
    tell();
  }

  function choose(what) {
    shown = what;
    for (const button of document.querySelectorAll('[data-show]')) attribute(button, 'aria-pressed', String(button.dataset.show === what));
  }

  function filtered() {
    tree.scrollTop = 0;
    show();
    say(`${hits} shown`);
  }

  function fold(isFolded) {
    for (const one of all) one.isFolded = isFolded && one.depth > 0 && one.size > 0;
    show();
    intoSight();
    draw();
  }

  function pause() {
    isPaused = !isPaused;
    attribute($('pause'), 'aria-pressed', String(isPaused));
    text($('pause'), isPaused ? 'Go on' : 'Pause');
    if (isPaused) link('pause', `paused at ${clock(Date.now())}`);
    else update();
  }

  function close() {
    if (opened === null) return false;
    const hadFocus = story.contains(document.activeElement);
    open(null);
    if (hadFocus) tree.focus();
    return true;
  }

  function nextMarked() {
    const from = active === null ? -1 : active.place;
    const isMarked = (one) => one.stuck !== '' || one.node.cancelled !== null;
    const next = all.slice(from + 1).find(isMarked) || all.find(isMarked);
    if (next === undefined) return say('nothing is stuck or cancelled');
    reveal(next);
    open(next, opened === null);
  }

  function go(row) {
    if (view.length === 0) return;
    active = view[Math.max(0, Math.min(view.length - 1, row))];
    intoSight();
    if (opened !== null) open(active, false);
    else draw();
  }

  tree.addEventListener('keydown', (event) => {
    if (active === null || event.ctrlKey || event.altKey || event.metaKey) return;
    const lines = Math.max(1, Math.floor(height() / ROW) - 1);
    const isPlain = shown === 'all' && terms.length === 0;
    switch (event.key) {
      case 'ArrowDown': go(active.row + 1); break;
      case 'ArrowUp': go(active.row - 1); break;
      case 'PageDown': go(active.row + lines); break;
      case 'PageUp': go(active.row - lines); break;
      case 'Home': go(0); break;
      case 'End': go(view.length - 1); break;
      case 'ArrowRight':
        if (active.size > 0 && active.isFolded && isPlain) { active.isFolded = false; show(); } else if (active.size > 0) go(active.row + 1);
        break;
      case 'ArrowLeft':
        if (active.size > 0 && !active.isFolded && isPlain) { active.isFolded = true; show(); } else if (active.parent !== null) go(active.parent.row);
        break;
      case 'Enter': case ' ': open(active); break;
      default: return;
    }
    event.preventDefault();
  });

  rows.addEventListener('click', (event) => {
    const at = event.target.closest('.row');
    const one = at === null ? undefined : known.get(at.dataset.key);
    if (one === undefined) return;
    active = one;
    if (event.target.closest('.twist') !== null && one.size > 0) { one.isFolded = !one.isFolded; show(); } else open(one);
  });
  rows.addEventListener('dblclick', (event) => {
    const one = event.target.closest('.row') === null ? undefined : known.get(event.target.closest('.row').dataset.key);
    if (one !== undefined && one.size > 0) { one.isFolded = !one.isFolded; show(); }
  });
  story.addEventListener('click', (event) => {
    const at = event.target.closest('[data-to], [data-close]');
    if (at === null) return;
    if (at.dataset.to === undefined) { close(); return; }
    const one = find(at.dataset.to);
    if (one === undefined) return;
    reveal(one);
    open(one);
    story.scrollTop = 0;
  });
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || $('keys').open) return;
    if (event.key === 'Escape') {
      if (document.activeElement === search && search.value !== '') { search.value = ''; read(''); filtered(); } else if (document.activeElement === search) tree.focus();
      else if (!close() && (terms.length > 0 || shown !== 'all')) { search.value = ''; read(''); choose('all'); filtered(); }
      event.preventDefault();
      return;
    }
    if (event.target === search) {
      if (event.key === 'ArrowDown' || event.key === 'Enter') { tree.focus(); event.preventDefault(); }
      return;
    }
    switch (event.key) {
      case '/': search.focus(); search.select(); break;
      case '?': $('keys').showModal(); break;
      case '*': fold(false); break;
      case '-': fold(true); break;
      case 'n': nextMarked(); break;
      case 'p': pause(); break;
      default: return;
    }
    event.preventDefault();
  });
  search.addEventListener('input', () => { read(search.value); filtered(); });
  document.querySelector('.filters').addEventListener('click', (event) => {
    const at = event.target.closest('[data-show]');
    if (at === null) return;
    choose(at.dataset.show === shown ? 'all' : at.dataset.show);
    filtered();
  });
  $('fold').addEventListener('click', () => fold(true));
  $('unfold').addEventListener('click', () => fold(false));
  $('pause').addEventListener('click', pause);
  $('keys-open').addEventListener('click', () => $('keys').showModal());
  $('every').addEventListener('change', (event) => { every = Number(event.target.value); });
  tree.addEventListener('scroll', draw, { passive: true });
  new ResizeObserver(draw).observe(tree);
  window.addEventListener('popstate', () => {
    const key = decodeURIComponent(location.hash.slice(1));
    opened = find(key) || null;
    if (opened !== null) reveal(opened);
    draw();
    tell();
  });
  document.addEventListener('visibilitychange', () => { if (!document.hidden && !isPaused) update(); });

  tree.focus({ preventScroll: true });
  run();
})();
