package org.ftcluster.protocol.serialization;

import com.esotericsoftware.kryo.KryoException;
import com.esotericsoftware.kryo.io.Input;

/**
 * Input that refuses a length which the bytes that are there can't fill, before anything of that
 * length is allocated.
 */
final class BoundedInput extends Input {
  BoundedInput(byte[] bytes) {
    super(bytes);
  }

  /** Lengths of strings and lists: each element takes a byte at least. */
  @Override
  public int readVarIntFlag(boolean optimizePositive) {
    return checked(super.readVarIntFlag(optimizePositive));
  }

  @Override
  public byte[] readBytes(int length) {
    return super.readBytes(checked(length));
  }

  private int checked(int length) {
    int remaining = limit() - position();
    if (length < 0 || length > remaining + 1) { // Kryo counts a string's length from 1
      throw new KryoException("a length of %d where %d bytes remain".formatted(length, remaining));
    }
    return length;
  }
}
