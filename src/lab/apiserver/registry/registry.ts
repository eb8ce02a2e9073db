/** All resources served now: the built-in ones and those of custom resource definitions. */
import { builtins } from './builtins.ts';
import type { Resource } from './resource.ts';

export class Registry {
  readonly #builtin: readonly Resource[] = builtins();
  #custom: readonly Resource[] = [];
  #index = new Map<string, Resource>();
  #generation = 0;

  constructor() {
    this.#reindex();
  }

  find(group: string, version: string, plural: string): Resource | undefined {
    return this.#index.get(`${group}/${version}/${plural}`);
  }

  all(): readonly Resource[] {
    return [...this.#builtin, ...this.#custom];
  }

  /** Any version of the resource, by the place where it is stored. */
  stored(storage: string): Resource | undefined {
    return this.all().find(resource => resource.storage === storage);
  }

  ofKind(group: string, version: string, kind: string): Resource | undefined {
    return this.all().find(item => item.group === group && item.version === version && item.kind === kind);
  }

  /** Replaces the custom resources. */
  custom(resources: readonly Resource[]): void {
    this.#custom = resources;
    this.#reindex();
  }

  /** Changes with every change of what is served. */
  get generation(): number {
    return this.#generation;
  }

  #reindex(): void {
    this.#index = new Map(this.all().map(item => [`${item.group}/${item.version}/${item.plural}`, item]));
    this.#generation++;
  }
}
