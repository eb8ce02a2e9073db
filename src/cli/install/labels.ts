/** Names and labels by which an installation is found again. */
import { version } from '../root.ts';

export const MANAGED_BY = 'app.kubernetes.io/managed-by';
export const MANAGER = 'pellicle';

export const AGENT = 'cilium';
export const ENGINE = 'cilium-engine';
export const OPERATOR = 'cilium-operator';

export function labels(component: string): Record<string, string> {
  return {
    'app.kubernetes.io/name': component,
    'app.kubernetes.io/instance': 'cilium',
    'app.kubernetes.io/version': version,
    'app.kubernetes.io/part-of': 'cilium',
    [MANAGED_BY]: MANAGER,
  };
}
