import { MemoryDatabase, MemoryStore } from "./memory_store.ts";
import { SILENT, testStore } from "./store_contract.ts";

testStore("MemoryStore", () => {
  const database = new MemoryDatabase();
  const stores: MemoryStore[] = [];
  return Promise.resolve({
    open(options = {}) {
      const store = new MemoryStore({
        database,
        keepVersions: options.keepVersions ?? 1000,
        log: SILENT,
      });
      stores.push(store);
      return Promise.resolve(store);
    },
    async remove() {
      for (const store of stores) await store.close();
    },
  });
});
