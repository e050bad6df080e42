/** How actor messages are put into bytes: Kryo, with registered types only. */
@NullMarked
package org.ftcluster.protocol.serialization;

import org.jspecify.annotations.NullMarked;
