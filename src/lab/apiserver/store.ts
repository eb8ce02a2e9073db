/**
 * The store: every object in memory, and in SQLite before a write is acknowledged.
 *
 * One counter numbers all writes (the resource version). The last writes are kept as a log, from which watches
 * start; a watch from before the log has to list again (410 Gone), as after a restart.
 */
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import type { KubeObject } from './object.ts';

/** An object as stored: never changed in place. */
export class Stored {
  readonly object: KubeObject;
  readonly namespace: string;
  readonly name: string;
  readonly revision: number;
  #json: string | undefined;

  constructor(object: KubeObject, revision: number, json?: string) {
    this.object = object;
    this.namespace = object.metadata.namespace ?? '';
    this.name = object.metadata.name;
    this.revision = revision;
    this.#json = json;
  }

  /** The object as JSON text, made once. */
  get json(): string {
    this.#json ??= JSON.stringify(this.object);
    return this.#json;
  }
}

export interface Change {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly resource: string;
  readonly revision: number;
  /** The object after the change; for DELETED its last state with the revision of the deletion. */
  readonly stored: Stored;
  readonly previous: Stored | undefined;
}

/** What one write asks for. */
export type Write =
  | { readonly resource: string; readonly put: KubeObject }
  | { readonly resource: string; readonly remove: { readonly namespace: string; readonly name: string } };

const LOG_LENGTH = 4096;

export class Store {
  readonly #database: DatabaseSync;
  readonly #tables = new Map<string, Table>();
  readonly #listeners = new Set<(change: Change) => void>();
  readonly #insert: StatementSync;
  readonly #delete: StatementSync;
  readonly #count: StatementSync;
  #revision: number;
  #log: Change[] = [];
  #compacted: number;

  /** Opens (or makes) the store in this file; `:memory:` for one that does not last. */
  constructor(path: string) {
    this.#database = new DatabaseSync(path);
    this.#database.exec(`
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = NORMAL;
      PRAGMA busy_timeout = 5000;
      CREATE TABLE IF NOT EXISTS object (
        resource TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
        revision INTEGER NOT NULL, value TEXT NOT NULL,
        PRIMARY KEY (resource, namespace, name)) WITHOUT ROWID;
      CREATE TABLE IF NOT EXISTS revision (id INTEGER PRIMARY KEY CHECK (id = 0), value INTEGER NOT NULL);
      INSERT OR IGNORE INTO revision VALUES (0, 1);`);
    this.#insert = this.#database.prepare('INSERT OR REPLACE INTO object VALUES (?, ?, ?, ?, ?)');
    this.#delete = this.#database.prepare(
      'DELETE FROM object WHERE resource = ? AND namespace = ? AND name = ?',
    );
    this.#count = this.#database.prepare('UPDATE revision SET value = ? WHERE id = 0');
    this.#revision = Number(this.#database.prepare('SELECT value FROM revision').get()?.value);
    this.#compacted = this.#revision;
    for (const row of this.#database.prepare('SELECT resource, revision, value FROM object').iterate()) {
      const json = String(row.value);
      this.#table(String(row.resource)).put(new Stored(JSON.parse(json), Number(row.revision), json));
    }
  }

  /** The resource version of the last write. */
  get revision(): number {
    return this.#revision;
  }

  /** Changes up to this revision are no longer in the log. */
  get compacted(): number {
    return this.#compacted;
  }

  get(resource: string, namespace: string, name: string): Stored | undefined {
    return this.#tables.get(resource)?.get(namespace, name);
  }

  /** In the order of namespace and name. */
  list(resource: string, namespace?: string): readonly Stored[] {
    return this.#tables.get(resource)?.list(namespace) ?? [];
  }

  resources(): string[] {
    return [...this.#tables.keys()];
  }

  /** Does these writes in one transaction, each with a revision of its own, and tells the listeners. */
  commit(...writes: Write[]): Change[] {
    const changes = writes.map((write, index) => this.#prepare(write, this.#revision + 1 + index));
    this.#database.exec('BEGIN IMMEDIATE');
    try {
      for (const change of changes) this.#persist(change);
      this.#count.run(this.#revision + changes.length);
      this.#database.exec('COMMIT');
    } catch (error) {
      this.#database.exec('ROLLBACK');
      throw error;
    }
    this.#revision += changes.length;
    for (const change of changes) {
      const table = this.#table(change.resource);
      if (change.type === 'DELETED') table.remove(change.stored.namespace, change.stored.name);
      else table.put(change.stored);
      this.#log.push(change);
    }
    this.#trim();
    for (const change of changes) for (const listener of this.#listeners) listener(change);
    return changes;
  }

  /** The changes after this revision, oldest first; undefined when the log does not reach back that far. */
  since(revision: number): readonly Change[] | undefined {
    if (revision < this.#compacted) return undefined;
    let from = this.#log.length;
    while (from > 0 && (this.#log[from - 1] as Change).revision > revision) from--;
    return this.#log.slice(from);
  }

  onChange(listener: (change: Change) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    this.#database.close();
  }

  #table(resource: string): Table {
    let table = this.#tables.get(resource);
    if (!table) {
      table = new Table();
      this.#tables.set(resource, table);
    }
    return table;
  }

  #prepare(write: Write, revision: number): Change {
    const { resource } = write;
    if ('put' in write) {
      const { metadata } = write.put;
      const previous = this.get(resource, metadata.namespace ?? '', metadata.name);
      const object = { ...write.put, metadata: { ...metadata, resourceVersion: String(revision) } };
      const stored = new Stored(object, revision);
      return { type: previous ? 'MODIFIED' : 'ADDED', resource, revision, stored, previous };
    }
    const previous = this.get(resource, write.remove.namespace, write.remove.name);
    if (!previous)
      throw new Error(`nothing to remove at ${resource} ${write.remove.namespace}/${write.remove.name}`);
    const metadata = { ...previous.object.metadata, resourceVersion: String(revision) };
    const stored = new Stored({ ...previous.object, metadata }, revision);
    return { type: 'DELETED', resource, revision, stored, previous };
  }

  #persist({ type, resource, stored, revision }: Change): void {
    if (type === 'DELETED') this.#delete.run(resource, stored.namespace, stored.name);
    else this.#insert.run(resource, stored.namespace, stored.name, revision, stored.json);
  }

  #trim(): void {
    if (this.#log.length < LOG_LENGTH * 2) return;
    const dropped = this.#log.length - LOG_LENGTH;
    this.#compacted = (this.#log[dropped - 1] as Change).revision;
    this.#log = this.#log.slice(dropped);
  }
}

/** The objects of one resource, by namespace and name; the sorted view is made when asked for. */
class Table {
  readonly #objects = new Map<string, Stored>();
  #sorted: Stored[] | undefined;

  get(namespace: string, name: string): Stored | undefined {
    return this.#objects.get(`${namespace}/${name}`);
  }

  put(stored: Stored): void {
    const key = `${stored.namespace}/${stored.name}`;
    const old = this.#objects.get(key);
    this.#objects.set(key, stored);
    if (!this.#sorted) return;
    if (!old) this.#sorted = undefined;
    else this.#sorted[position(this.#sorted, stored.namespace, stored.name)] = stored;
  }

  remove(namespace: string, name: string): void {
    if (this.#objects.delete(`${namespace}/${name}`)) this.#sorted = undefined;
  }

  list(namespace?: string): readonly Stored[] {
    this.#sorted ??= [...this.#objects.values()].sort(order);
    if (namespace === undefined) return this.#sorted.slice();
    const from = position(this.#sorted, namespace, '');
    let to = from;
    while (to < this.#sorted.length && this.#sorted[to]?.namespace === namespace) to++;
    return this.#sorted.slice(from, to);
  }
}

function order(a: { namespace: string; name: string }, b: { namespace: string; name: string }): number {
  if (a.namespace !== b.namespace) return a.namespace < b.namespace ? -1 : 1;
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}

/** The index of the first object not before this one. */
function position(sorted: readonly Stored[], namespace: string, name: string): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (order(sorted[middle] as Stored, { namespace, name }) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
