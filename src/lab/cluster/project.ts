/** Where this project and its Node.js stand on disk: the nodes of a lab run them from there. */
import { existsSync, realpathSync } from 'node:fs';
import { dirname, join, sep } from 'node:path';

export interface Project {
  /** The folder with package.json, dist/ and build/. */
  root: string;
  /** The Node.js binary that runs everything of the lab. */
  node: string;
  /** Folders that must be visible inside nodes and containers at their own paths. */
  mounts: string[];
}

export function findProject(from = import.meta.dirname, execPath = process.execPath): Project {
  let root = from;
  while (!existsSync(join(root, 'package.json'))) {
    const parent = dirname(root);
    if (parent === root) throw new Error(`no package.json above ${from}`);
    root = parent;
  }
  root = realpathSync(root);
  const node = realpathSync(execPath);
  const inside = (folder: string) => node.startsWith(folder + sep);
  return { root, node, mounts: inside(root) || inside('/usr') ? [root] : [root, dirname(node)] };
}
