import { getSystemErrorMap } from 'node:util';

/** An error of a system call, as Node's own ones: `code` is ENOENT, `errno` negative. */
export function systemError(what: string, errno: number): NodeJS.ErrnoException {
  const [code, words] = getSystemErrorMap().get(errno) ?? [`errno ${-errno}`, 'unknown error'];
  return Object.assign(new Error(`${what}: ${words} (${code})`), { code, errno });
}
