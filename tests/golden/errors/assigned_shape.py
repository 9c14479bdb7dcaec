import graphc as tf

scale = tf.get_variable("scale", [2])
update = scale.assign([1.0, 2.0, 3.0])
