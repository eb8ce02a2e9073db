import { getSystemErrorMap } from 'node:util';

/** The kernel refused a netlink request. `errno` is positive; `code` its name, `EEXIST`. */
export class NetlinkError extends Error {
  readonly errno: number;
  readonly code: string;
  /** The kernel's own words (extended ACK), when it gave some. */
  readonly detail: string | undefined;

  constructor(request: string, errno: number, detail?: string) {
    const [code, words] = getSystemErrorMap().get(-errno) ?? [`errno ${errno}`, 'unknown error'];
    super(`${request}: ${detail ?? words} (${code})`);
    this.name = 'NetlinkError';
    this.errno = errno;
    this.code = code;
    this.detail = detail;
  }
}

/** Whether `error` is a NetlinkError with one of these codes. */
export function isNetlinkError(error: unknown, ...codes: string[]): error is NetlinkError {
  return error instanceof NetlinkError && (codes.length === 0 || codes.includes(error.code));
}
