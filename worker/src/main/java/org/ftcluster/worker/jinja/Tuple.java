package org.ftcluster.worker.jinja;

import java.util.AbstractList;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** A list that Python calls a tuple: it has other brackets, and equals no list. */
final class Tuple extends AbstractList<@Nullable Object> {
  private final List<@Nullable Object> items;

  Tuple(List<@Nullable Object> items) {
    this.items = Collections.unmodifiableList(new ArrayList<>(items));
  }

  static Tuple of(@Nullable Object... items) {
    return new Tuple(Arrays.asList(items));
  }

  @Override
  public @Nullable Object get(int index) {
    return items.get(index);
  }

  @Override
  public int size() {
    return items.size();
  }
}
