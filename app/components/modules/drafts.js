// Edits that are not saved yet, kept in this browser: they outlive a reload, a crash and a lost connection.

const NAME = "avatar-drafts";

function open() {
  return new Promise((resolve, reject) => {
    const asked = indexedDB.open(NAME, 1);
    asked.onupgradeneeded = () => asked.result.createObjectStore("drafts");
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error);
  });
}

async function through(mode, act) {
  const database = await open();
  try {
    return await new Promise((resolve, reject) => {
      const transaction = database.transaction("drafts", mode);
      const asked = act(transaction.objectStore("drafts"));
      transaction.oncomplete = () => resolve(asked.result);
      transaction.onerror = () => reject(transaction.error);
      transaction.onabort = () => reject(transaction.error);
    });
  } finally {
    database.close();
  }
}

// A draft is {base, runs, length, at, by}.
export const keepDraft = (name, draft) => through("readwrite", (drafts) => drafts.put(draft, name));
export const findDraft = (name) => through("readonly", (drafts) => drafts.get(name));
export const dropDraft = (name) => through("readwrite", (drafts) => drafts.delete(name));
