/** Status errors, worded as kube-apiserver words them. */
import type { JsonObject } from './object.ts';

export interface Cause {
  reason?: string;
  message?: string;
  field?: string;
}

export interface Details {
  name?: string;
  group?: string;
  kind?: string;
  uid?: string;
  causes?: Cause[];
  retryAfterSeconds?: number;
}

/** An answer other than success: code, reason and message of a Status object. */
export class StatusError extends Error {
  readonly code: number;
  readonly reason: string;
  readonly details: Details | undefined;

  constructor(code: number, reason: string, message: string, details?: Details) {
    super(message);
    this.code = code;
    this.reason = reason;
    this.details = details;
  }

  status(): JsonObject {
    return {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message: this.message,
      ...(this.reason ? { reason: this.reason } : {}),
      ...(this.details ? { details: this.details } : {}),
      code: this.code,
    };
  }
}

/** What errors name: the plural and the group. */
export interface Named {
  readonly plural: string;
  readonly group: string;
}

export function qualified(resource: Named): string {
  return resource.group ? `${resource.plural}.${resource.group}` : resource.plural;
}

function about(resource: Named, name: string): Details {
  return { name, ...(resource.group ? { group: resource.group } : {}), kind: resource.plural };
}

export const notFound = (resource: Named, name: string) =>
  new StatusError(404, 'NotFound', `${qualified(resource)} "${name}" not found`, about(resource, name));

export const pathNotFound = () =>
  new StatusError(404, 'NotFound', 'the server could not find the requested resource', {});

export const alreadyExists = (resource: Named, name: string) =>
  new StatusError(
    409,
    'AlreadyExists',
    `${qualified(resource)} "${name}" already exists`,
    about(resource, name),
  );

export const conflict = (resource: Named, name: string, why: string) =>
  new StatusError(
    409,
    'Conflict',
    `Operation cannot be fulfilled on ${qualified(resource)} "${name}": ${why}`,
    about(resource, name),
  );

export const modified = (resource: Named, name: string) =>
  conflict(
    resource,
    name,
    'the object has been modified; please apply your changes to the latest version and try again',
  );

export const forbidden = (resource: Named, name: string, why: string) =>
  new StatusError(
    403,
    'Forbidden',
    name
      ? `${qualified(resource)} "${name}" is forbidden: ${why}`
      : `${qualified(resource)} is forbidden: ${why}`,
    about(resource, name),
  );

export const badRequest = (message: string) => new StatusError(400, 'BadRequest', message);

export const unauthorized = () => new StatusError(401, 'Unauthorized', 'Unauthorized');

export const methodNotSupported = (resource: Named, verb: string) =>
  new StatusError(
    405,
    'MethodNotAllowed',
    `${verb} is not supported on resources of kind "${qualified(resource)}"`,
    {
      ...(resource.group ? { group: resource.group } : {}),
      kind: resource.plural,
    },
  );

export const expired = (message: string) => new StatusError(410, 'Expired', message);

export const tooLarge = (limit: number) =>
  new StatusError(413, 'RequestEntityTooLarge', `Request entity too large: limit is ${limit}`);

export const unsupportedMediaType = (message: string) =>
  new StatusError(415, 'UnsupportedMediaType', message);

export const internal = (message: string) =>
  new StatusError(500, 'InternalError', `Internal error occurred: ${message}`, { causes: [{ message }] });

/** One thing wrong with one field. */
export interface FieldError {
  readonly field: string;
  readonly reason: string;
  readonly message: string;
}

const shown = (value: unknown) => (typeof value === 'string' ? JSON.stringify(value) : JSON.stringify(value));

export const invalidValue = (field: string, value: unknown, why: string): FieldError => ({
  field,
  reason: 'FieldValueInvalid',
  message: `Invalid value: ${shown(value)}: ${why}`,
});

export const requiredValue = (field: string, why = ''): FieldError => ({
  field,
  reason: 'FieldValueRequired',
  message: why ? `Required value: ${why}` : 'Required value',
});

export const unsupportedValue = (field: string, value: unknown, valid: readonly string[]): FieldError => ({
  field,
  reason: 'FieldValueNotSupported',
  message: `Unsupported value: ${shown(value)}: supported values: ${valid.map(item => `"${item}"`).join(', ')}`,
});

export const forbiddenValue = (field: string, why: string): FieldError => ({
  field,
  reason: 'FieldValueForbidden',
  message: `Forbidden: ${why}`,
});

export const duplicateValue = (field: string, value: unknown): FieldError => ({
  field,
  reason: 'FieldValueDuplicate',
  message: `Duplicate value: ${shown(value)}`,
});

export const notFoundValue = (field: string, value: unknown): FieldError => ({
  field,
  reason: 'FieldValueNotFound',
  message: `Not found: ${shown(value)}`,
});

/** 422 for an object with wrong fields. */
export function invalid(
  kind: string,
  group: string,
  name: string,
  errors: readonly FieldError[],
): StatusError {
  const parts = errors.map(error => `${error.field}: ${error.message}`);
  const joined = parts.length === 1 ? parts[0] : `[${parts.join(', ')}]`;
  const type = group ? `${kind}.${group}` : kind;
  return new StatusError(422, 'Invalid', `${type} "${name}" is invalid: ${joined}`, {
    name,
    ...(group ? { group } : {}),
    kind,
    causes: errors.map(error => ({ reason: error.reason, message: error.message, field: error.field })),
  });
}
