/** ClusterRoles with an aggregation rule: their rules are those of the roles that it selects. */
import type { Api } from '../api.ts';
import { equal, isObject, type JsonObject, objects } from '../object.ts';
import { RBAC } from '../registry/access.ts';
import { objectSelector } from '../selectors.ts';

const STORAGE = `clusterroles.${RBAC}`;

/** Keeps them so; returns what ends it. */
export function aggregateRoles(api: Api): () => void {
  let scheduled: NodeJS.Immediate | undefined;
  const reconcile = () => {
    scheduled = undefined;
    const roles = api.store.list(STORAGE);
    for (const { object } of roles) {
      const selectors = objects(object, 'aggregationRule', 'clusterRoleSelectors');
      if (!isObject(object.aggregationRule)) continue;
      const matches = selectors.map(selector => objectSelector(selector));
      const rules: JsonObject[] = [];
      for (const other of roles) {
        const labels = other.object.metadata.labels ?? {};
        if (other.object === object || !matches.some(match => match(labels))) continue;
        for (const rule of objects(other.object, 'rules'))
          if (!rules.some(item => equal(item, rule))) rules.push(rule);
      }
      if (!equal(rules, object.rules ?? []))
        api.store.commit({ resource: STORAGE, put: { ...object, rules } });
    }
  };
  const stop = api.store.onChange(({ resource }) => {
    // A commit from within a listener would overtake the change it answers.
    if (resource === STORAGE) scheduled ??= setImmediate(reconcile);
  });
  reconcile();
  return () => {
    if (scheduled) clearImmediate(scheduled);
    stop();
  };
}
