/** What every office page starts with: who am I, what time is it, which areas are there. No live picture: a page of lists asks. */

import { Api } from "../core/api";
import { toLogin } from "../core/session";
import { CityClock } from "../core/time";
import type { ClockState, User } from "../core/types";
import { Areas } from "./areas";
import type { AreaAnswer } from "./areas";

export interface Office {
  api: Api;
  user: User;
  clock: CityClock;
  clockState: ClockState;
  areas: Areas;
}

const RETRY_MS = 3_000;

/** Asks until the server answers; `onWait` shows why it takes long. */
export async function openOffice(onWait: (error: unknown) => void): Promise<Office> {
  const api = new Api(undefined, toLogin);
  for (;;) {
    try {
      const { user } = await api.me();
      const clockState = await api.get<ClockState>("/api/v1/clock");
      const areas = await api.get<AreaAnswer>("/api/v1/areas").then(Areas.of, (error: unknown) => {
        console.warn("areas not loaded", error); // a picker without choices takes a code by hand
        return new Areas([]);
      });
      return { api, user, clock: new CityClock(clockState), clockState, areas };
    } catch (error) {
      onWait(error);
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
}
