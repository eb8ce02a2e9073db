/** A container's environment. Pure: what it refers to is looked up by functions passed in. */
import type { ConfigMap, Container, Pod, Secret, Service } from '../../kube/core.ts';
import { fieldValue, type PodFacts, resourceValue } from './downward.ts';

export interface EnvironmentSources {
  /** Undefined when there is none (or not yet). */
  secret(name: string): Secret | undefined;
  configMap(name: string): ConfigMap | undefined;
  /** Services whose addresses the pod learns: those of its namespace, and `kubernetes`. */
  services: Service[];
  facts: PodFacts;
}

/** A reference that cannot be resolved: the container waits with CreateContainerConfigError. */
export class ConfigError extends Error {}

/** In order of precedence: services, envFrom, env with `$(VAR)` expanded. Throws ConfigError. */
export function containerEnvironment(
  pod: Pod,
  container: Container,
  sources: EnvironmentSources,
): Record<string, string> {
  const result: Record<string, string> = serviceVariables(
    sources.services.filter(
      service => (pod.spec.enableServiceLinks ?? true) || service.metadata.name === 'kubernetes',
    ),
  );
  for (const { prefix = '', configMapRef, secretRef } of container.envFrom ?? []) {
    if (configMapRef) {
      const map = required('configmap', configMapRef, sources.configMap(configMapRef.name));
      for (const [key, value] of Object.entries(map?.data ?? {})) result[prefix + key] = value;
    }
    if (secretRef) {
      const secret = required('secret', secretRef, sources.secret(secretRef.name));
      for (const [key, value] of Object.entries(secret?.data ?? {})) result[prefix + key] = decode(value);
    }
  }
  for (const variable of container.env ?? []) {
    const { name, valueFrom } = variable;
    if (!valueFrom) {
      result[name] = expand(variable.value ?? '', result);
      continue;
    }
    const value = referred(pod, container, valueFrom, sources);
    if (value !== undefined) result[name] = value;
  }
  return result;
}

type ValueFrom = NonNullable<NonNullable<Container['env']>[number]['valueFrom']>;

/** Undefined for an optional reference that leads nowhere. */
function referred(
  pod: Pod,
  container: Container,
  from: ValueFrom,
  sources: EnvironmentSources,
): string | undefined {
  const { fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef } = from;
  if (fieldRef) return configured(() => fieldValue(pod, fieldRef.fieldPath, sources.facts));
  if (resourceFieldRef) {
    const of = [...pod.spec.containers, ...(pod.spec.initContainers ?? [])].find(
      each => each.name === resourceFieldRef.containerName,
    );
    return configured(() =>
      resourceValue(resourceFieldRef.resource, resourceFieldRef.divisor, of ?? container, sources.facts),
    );
  }
  if (configMapKeyRef) {
    const { name, key, optional } = configMapKeyRef;
    const map = required('configmap', configMapKeyRef, sources.configMap(name));
    const binary = map?.binaryData?.[key];
    const value = map?.data?.[key] ?? (binary === undefined ? undefined : decode(binary));
    if (value === undefined && !optional) throw missingKey(key, 'ConfigMap', pod, name);
    return value;
  }
  if (secretKeyRef) {
    const { name, key, optional } = secretKeyRef;
    const value = required('secret', secretKeyRef, sources.secret(name))?.data?.[key];
    if (value === undefined && !optional) throw missingKey(key, 'Secret', pod, name);
    return value === undefined ? undefined : decode(value);
  }
  return undefined;
}

function missingKey(key: string, kind: string, pod: Pod, name: string): ConfigError {
  return new ConfigError(`couldn't find key ${key} in ${kind} ${pod.metadata.namespace}/${name}`);
}

function configured(value: () => string): string {
  try {
    return value();
  } catch (error) {
    throw new ConfigError((error as Error).message);
  }
}

function required<T>(
  kind: string,
  { name, optional }: { name: string; optional?: boolean },
  found: T | undefined,
): T | undefined {
  if (found === undefined && !optional) throw new ConfigError(`${kind} "${name}" not found`);
  return found;
}

function decode(base64: string): string {
  return Buffer.from(base64, 'base64').toString('utf8');
}

/** `$(NAME)` by its value, `$$(NAME)` by `$(NAME)`; what is unknown stays as it stands. */
export function expand(text: string, values: Record<string, string>): string {
  return text.replace(/\$(\$|\(([^()]*)\))/g, (whole, what: string, name: string | undefined) =>
    what === '$' ? '$' : (values[name ?? ''] ?? whole),
  );
}

/** As Docker links once named them: NAME_SERVICE_HOST, NAME_SERVICE_PORT, NAME_PORT and its parts. */
export function serviceVariables(services: Service[]): Record<string, string> {
  const result: Record<string, string> = {};
  for (const { metadata, spec } of services) {
    const host = spec.clusterIP;
    const ports = spec.ports ?? [];
    if (!host || host === 'None' || ports.length === 0) continue;
    const name = metadata.name.toUpperCase().replaceAll('-', '_');
    const url = (port: number, protocol: string) =>
      `${protocol}://${host.includes(':') ? `[${host}]` : host}:${port}`;
    result[`${name}_SERVICE_HOST`] = host;
    result[`${name}_SERVICE_PORT`] = String(ports[0]!.port);
    result[`${name}_PORT`] = url(ports[0]!.port, (ports[0]!.protocol ?? 'TCP').toLowerCase());
    for (const port of ports) {
      const protocol = port.protocol ?? 'TCP';
      const base = `${name}_PORT_${port.port}_${protocol}`;
      if (port.name) {
        result[`${name}_SERVICE_PORT_${port.name.toUpperCase().replaceAll('-', '_')}`] = String(port.port);
      }
      result[base] = url(port.port, protocol.toLowerCase());
      result[`${base}_PROTO`] = protocol.toLowerCase();
      result[`${base}_PORT`] = String(port.port);
      result[`${base}_ADDR`] = host;
    }
  }
  return result;
}
