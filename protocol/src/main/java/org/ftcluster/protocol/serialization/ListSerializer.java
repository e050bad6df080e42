package org.ftcluster.protocol.serialization;

import com.esotericsoftware.kryo.Kryo;
import com.esotericsoftware.kryo.io.Input;
import com.esotericsoftware.kryo.io.Output;
import com.esotericsoftware.kryo.serializers.ImmutableSerializer;
import java.util.Arrays;
import java.util.List;

/** Any list, read back as an unmodifiable one. */
final class ListSerializer extends ImmutableSerializer<List<?>> {
  @Override
  public void write(Kryo kryo, Output output, List<?> list) {
    output.writeVarIntFlag(false, list.size(), true);
    for (Object element : list) {
      kryo.writeClassAndObject(output, element);
    }
  }

  @Override
  public List<?> read(Kryo kryo, Input input, Class<? extends List<?>> type) {
    // A length that the remaining bytes can't fill is refused by BoundedInput before it is used.
    Object[] elements = new Object[input.readVarIntFlag(true)];
    for (int i = 0; i < elements.length; i++) {
      elements[i] = kryo.readClassAndObject(input);
    }
    return List.copyOf(Arrays.asList(elements));
  }
}
