/** The built-in resources, all groups. */
import { rbacResources, reviewResources } from './access.ts';
import { workloadResources } from './apps.ts';
import { coreResources } from './core.ts';
import { customresourcedefinitions } from './definitions.ts';
import { networkResources } from './network.ts';
import { otherResources } from './other.ts';
import { pods } from './pods.ts';
import type { Resource } from './resource.ts';
import { services } from './services.ts';

export function builtins(): Resource[] {
  return [
    ...coreResources,
    pods,
    services,
    ...workloadResources,
    ...reviewResources,
    ...rbacResources,
    ...networkResources,
    ...otherResources,
    customresourcedefinitions,
  ].sort((a, b) => (a.plural < b.plural ? -1 : a.plural > b.plural ? 1 : 0));
}
