import { useEffect, useState } from "preact/hooks";
import { call } from "./api.ts";

const READ_MS = 1_000;

/** What a call answers, read again each second while it is in view; null before it was read. */
export function usePolled<T>(path: string): T | null {
  const [answer, setAnswer] = useState<T | null>(null);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let over = false;
    async function read(): Promise<void> {
      if (!document.hidden) {
        await call<T>(path).then(
          (answer) => over || setAnswer(answer),
          // The event stream tells when the control plane is gone.
          () => {},
        );
      }
      if (!over) timer = setTimeout(() => void read(), READ_MS);
    }
    void read();
    return () => {
      over = true;
      clearTimeout(timer);
    };
  }, [path]);
  return answer;
}
